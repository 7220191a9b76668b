"""Pages and support bundles show the requests that were sent, without secrets."""

import asyncio
from urllib.parse import parse_qs

from exporter.config.settings import Credential, Module, SecretSource
from exporter.core.values import CredentialKind, Step
from exporter.presentation.text import BEARER, exchanges
from exporter.probing.prober import Prober, ProberCallbacks
from exporter.runtime.loop import LoopLag
from exporter.state.history import ProbeContext
from tests.support.factories import a_config, a_target
from tests.support.tls_server import ENTRA, TENANT, TOKEN, VAULT, response

SECRET = "MARKED~secret.8Q"
CLIENT = "66666666-7777-8888-9999-000000000000"


def entra(request):
    if request.path.endswith("/token"):
        return response(200, {"token_type": "Bearer", "expires_in": 3600, "access_token": TOKEN}, x_ms_request_id="entra-1")
    base = f"https://{ENTRA}/{TENANT}"
    return response(
        200,
        {
            "issuer": f"{base}/v2.0",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "token_endpoint": f"{base}/oauth2/v2.0/token",
        },
    )


async def test_shown_requests_are_the_sent_ones(serve, authority, fake_vault, tmp_path):
    (tmp_path / "secret").write_text(SECRET)
    vault, login = await serve(fake_vault), await serve(entra)
    routes = {f"{VAULT}:443": f"127.0.0.1:{vault.port}", f"{ENTRA}:443": f"127.0.0.1:{login.port}"}
    module = Module(name="default", ca_file=authority.file, connect_to=routes)
    credential = Credential(
        name="c", kind=CredentialKind.CLIENT_SECRET, client_id=CLIENT, secret=SecretSource(file=tmp_path / "secret")
    )
    target = a_target(vault=VAULT, key_name=fake_vault.name, key_version=fake_vault.version, credential="c")
    config = a_config(target, credentials=[credential], modules=[module])
    prober = Prober(config, lag=LoopLag(), callbacks=ProberCallbacks(on_internal_error=_raise))
    async with asyncio.timeout(30):
        report = await prober.probe_on_demand(target, credential=credential, fresh=True)
    await prober.aclose()
    assert report.success, report

    shown = {each.step: each.request for each in exchanges(ProbeContext(target, module, credential), report)}
    sent = dict(zip((Step.CHALLENGE, Step.GET_KEY, Step.WRAP_KEY, Step.UNWRAP_KEY), vault.requests, strict=True))
    for step, request in sent.items():
        assert shown[step][0] == f"{request.method} https://{VAULT}{request.target}"
        assert (BEARER in shown[step]) is ("authorization" in request.headers)
        assert (len(shown[step]) == 3) is bool(request.body)
    (sign_in,) = [request for request in login.requests if request.method == "POST"]
    line, form = shown[Step.TOKEN]
    assert line == f"POST https://{ENTRA}{sign_in.target}"
    fields, shown_fields = parse_qs(sign_in.body.decode()), parse_qs(form)
    assert fields["client_secret"] == [SECRET]
    assert set(shown_fields) <= set(fields)
    assert all(shown_fields[name] == fields[name] for name in ("client_id", "grant_type"))
    assert SECRET not in str(shown)
    assert TOKEN not in str(shown)


def _raise(error):
    raise error
