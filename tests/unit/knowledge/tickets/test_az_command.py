"""An `az` command as words and options, and its equivalents."""

import pytest

from exporter.knowledge.ticket_equivalents import NO_PAGE, Equivalent, completed, parse, portal_path, powershell

EQUIVALENT = Equivalent(
    az="keyvault key show",
    given="--name",
    cmdlet="Get-AzKeyVaultKey",
    parameters={"--vault-name": "-VaultName {}", "--name": "-Name {}", "--ops": "-KeyOps {}"},
    properties={"key.keyOps": "Key.KeyOps"},
    portal="Key vaults > {vault} > Objects > Keys > {name}",
)


@pytest.mark.parametrize(
    "line",
    [
        "az keyvault list-deleted",
        "az ad app credential reset --id 6 --append --cert @CERTIFICATE.pem",
        'az role assignment create --role "Key Vault Crypto Officer" --scope VAULT_ID',
        "az keyvault key set-attributes --name K --ops wrapKey unwrapKey",
    ],
)
def test_parsed_command_is_written_as_before(line):
    assert str(parse(line)) == line


def test_flag_without_value_has_an_empty_one():
    assert parse("az ad app credential reset --id 6 --append").options == {"--id": "6", "--append": ""}


def test_expression_of_a_shell_gets_no_second_quotes():
    changed = parse("az role assignment list --scope VAULT_ID").with_values({"VAULT_ID": '"$(az keyvault show --name v)"'})
    assert str(changed) == 'az role assignment list --scope "$(az keyvault show --name v)"'


def test_equivalent_fits_only_a_command_with_its_option():
    assert EQUIVALENT.fits(parse("az keyvault key show --name K"))
    assert not EQUIVALENT.fits(parse("az keyvault key show"))
    assert not EQUIVALENT.fits(parse("az keyvault key list --name K"))


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ("--vault-name v --name K", "Get-AzKeyVaultKey -VaultName v -Name K"),
        ("--name K --query key.keyOps", "(Get-AzKeyVaultKey -Name K).Key.KeyOps"),
        ("--name K --output tsv", "Get-AzKeyVaultKey -Name K"),
        ("--name K --ops wrapKey unwrapKey", "Get-AzKeyVaultKey -Name K -KeyOps 'wrapKey', 'unwrapKey'"),
        ('--name "it\'s K"', "Get-AzKeyVaultKey -Name 'it''s K'"),
        ("--name $vault", "Get-AzKeyVaultKey -Name $vault"),
    ],
)
def test_powershell_has_the_parameters_of_the_options(options, shown):
    assert powershell(EQUIVALENT, parse(f"az keyvault key show {options}")) == shown


def test_template_has_the_values_of_the_command():
    template = "{vault} {in_vault} {name}"
    assert completed(template, parse("az x --hsm-name h --name K"), "v") == "h --hsm-name h K"
    assert completed(template, parse("az x --name K"), "v") == "v --vault-name v K"


def test_key_of_a_managed_hsm_has_no_page_of_a_vault():
    assert portal_path(EQUIVALENT, parse("az x --vault-name v --name K"), "") == "Key vaults > v > Objects > Keys > K"
    assert portal_path(EQUIVALENT, parse("az x --hsm-name h --name K"), "") == NO_PAGE
