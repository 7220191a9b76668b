"""Scenarios of the exporter itself, before a request: configuration, credential files, host identity.

Entra's refusals of a credential are in `sign_in`.
"""

from __future__ import annotations

from exporter.core.model import Step
from exporter.core.reasons import Reason
from exporter.simulator.scenarios.model import Outside, Scenario

_CONFIGURATION, _CERTIFICATE, _IDENTITY = Outside.CONFIGURATION, Outside.CERTIFICATE, Outside.IDENTITY
_TOKEN = Step.TOKEN
_R = Reason

EXPORTER_SIDE: tuple[Scenario, ...] = (
    # `check` and every start refuse these, so that no probe starts
    Scenario("key_name_long", "the key's name has 27 characters", _CONFIGURATION, None, 2049, 2049, _R.KEY_NAME_TOO_LONG, "The name does not follow the connector's rules."),
    Scenario("key_name_strange", "the key's name has an underscore", _CONFIGURATION, None, 2049, 2049, _R.KEY_NAME_TOO_LONG, "The name comes from another key store."),
    Scenario("credential_short", "the credential string has 31 characters", _CONFIGURATION, None, 2050, 2050, _R.SECRET_TOO_SHORT, "The copy lost a digit of the client id."),
    # the same files, changed while the exporter runs
    Scenario("credential_cut", "the credential string was cut to 31 characters", _CONFIGURATION, _TOKEN, 2050, 2050, _R.SECRET_TOO_SHORT, "The file was rewritten incompletely."),
    Scenario("credential_without_secret", "the credential string ends after the client id", _CONFIGURATION, _TOKEN, 2050, 2050, _R.SECRET_TOO_SHORT, "Only the client id was pasted."),
    Scenario("secret_gone", "the secret file is missing", _CONFIGURATION, _TOKEN, 3001, 3001, _R.SECRET_UNREADABLE, "A mount is missing."),
    # certificate files
    Scenario("pfx_wrong_password", "the PFX file has another password", _CERTIFICATE, _TOKEN, 3809, 3809, _R.CERTIFICATE_UNUSABLE, "The certificate was renewed, but its password file was not."),
    Scenario("pfx_cut", "the PFX file is truncated", _CERTIFICATE, _TOKEN, 3809, 3809, _R.CERTIFICATE_UNUSABLE, "The copy was interrupted."),
    Scenario("pfx_without_certificate", "the PFX file has a key and no certificate", _CERTIFICATE, _TOKEN, 3810, 3810, _R.CERTIFICATE_UNUSABLE, "The export contained only the key."),
    Scenario("pfx_without_key", "the PFX file has a certificate and no key", _CERTIFICATE, _TOKEN, 3811, 3811, _R.CERTIFICATE_UNUSABLE, "The key was not exportable."),
    Scenario("pfx_elliptic", "the PFX file's key is an EC key", _CERTIFICATE, _TOKEN, 3812, 3812, _R.CERTIFICATE_UNUSABLE, "The authority has issued EC certificates since its upgrade."),
    Scenario("pfx_other_key", "the PFX file's key belongs to another certificate", _CERTIFICATE, _TOKEN, 3813, 3813, _R.CERTIFICATE_UNUSABLE, "Two renewals were mixed up."),
    Scenario("pfx_short_key", "the PFX file's key is too short", _CERTIFICATE, _TOKEN, 3814, 3814, _R.CERTIFICATE_UNUSABLE, "The key is older than today's minimum size."),
    Scenario("pem_without_certificate", "the PEM file has a key and no certificate", _CERTIFICATE, _TOKEN, 3815, 3815, _R.CERTIFICATE_UNUSABLE, "The certificate is still in its own file."),
    Scenario("pem_without_key", "the PEM file has a certificate and no key", _CERTIFICATE, _TOKEN, 3816, 3816, _R.CERTIFICATE_UNUSABLE, "The key is still in its own file."),
    Scenario("pem_elliptic", "the PEM file's key is an EC key", _CERTIFICATE, _TOKEN, 3817, 3817, _R.CERTIFICATE_UNUSABLE, "The certificate request was made with a modern default."),
    Scenario("pem_other_key", "the PEM file's key belongs to another certificate", _CERTIFICATE, _TOKEN, 3818, 3818, _R.CERTIFICATE_UNUSABLE, "The files of two renewals were combined."),
    Scenario("pem_wrong_password", "the PEM file's key has another password", _CERTIFICATE, _TOKEN, 3818, 3818, _R.CERTIFICATE_UNUSABLE, "The key was encrypted again."),
    Scenario("pem_short_key", "the PEM file's key is too short", _CERTIFICATE, _TOKEN, 3819, 3819, _R.CERTIFICATE_UNUSABLE, "The key is older than today's minimum size."),
    Scenario("certificate_gone", "the certificate file is missing", _CERTIFICATE, _TOKEN, 3001, 3001, _R.SECRET_UNREADABLE, "A mount is missing."),
    # the host's identity
    Scenario("identity_absent", "the host has no identity service", _IDENTITY, _TOKEN, 3304, 3304, _R.IDENTITY_UNAVAILABLE, "The exporter was moved to a host without a managed identity."),
    Scenario("identity_silent", "the identity service accepts connections and sends nothing", _IDENTITY, _TOKEN, 3304, 3304, _R.IDENTITY_UNAVAILABLE, "A pod policy swallows requests to the identity service."),
    Scenario("identity_unassigned", "the host has no identity with that client id", _IDENTITY, _TOKEN, 3304, 3304, _R.IDENTITY_UNAVAILABLE, "The identity was removed from the machine."),
    Scenario("identity_not_json", "the identity service returns an HTML page", _IDENTITY, _TOKEN, 3304, 3304, _R.IDENTITY_UNAVAILABLE, "A proxy answers requests that should never leave the host."),
    Scenario("identity_key_unreadable", "the key file of Azure Arc is not readable", _IDENTITY, _TOKEN, 3304, 3304, _R.IDENTITY_KEY_UNREADABLE, "The exporter's account is not in the group of Azure Arc."),
)  # fmt: skip
