"""Scenarios before anything is sent: the configuration, the credential's files, the host's own identity.

Not for: what Entra says to a credential.
"""

from __future__ import annotations

from exporter.core.faults import Reason
from exporter.core.model import Step
from exporter.simulator.scenarios.model import Outside, Scenario

_CONFIGURATION, _CERTIFICATE, _IDENTITY = Outside.CONFIGURATION, Outside.CERTIFICATE, Outside.IDENTITY
_TOKEN = Step.TOKEN
_R = Reason

CREDENTIALS: tuple[Scenario, ...] = (
    # `check` and every start refuse these: no probe is made
    Scenario("key_name_long", "the key's name has 27 characters", _CONFIGURATION, None, 2049, 2049, _R.KEY_NAME_TOO_LONG, "The name was chosen for people, not for the connector."),
    Scenario("key_name_strange", "the key's name has an underscore", _CONFIGURATION, None, 2049, 2049, _R.KEY_NAME_TOO_LONG, "The name was carried over from another store."),
    Scenario("credential_short", "the credential string has 31 characters", _CONFIGURATION, None, 2050, 2050, _R.SECRET_TOO_SHORT, "A digit of the client id was lost in copying."),
    # the same files, changed while the exporter runs
    Scenario("credential_cut", "the credential string was cut to 31 characters", _CONFIGURATION, _TOKEN, 2050, 2050, _R.SECRET_TOO_SHORT, "The file was written anew, and not to its end."),
    Scenario("credential_without_secret", "the credential string ends after the client id", _CONFIGURATION, _TOKEN, 2050, 2050, _R.SECRET_TOO_SHORT, "The client id was pasted alone."),
    Scenario("secret_gone", "the secret's file is gone", _CONFIGURATION, _TOKEN, 3001, 3001, _R.SECRET_UNREADABLE, "A mount is missing."),
    # certificate files
    Scenario("pfx_wrong_password", "the PFX file has another password", _CERTIFICATE, _TOKEN, 3809, 3809, _R.CERTIFICATE_UNUSABLE, "The certificate was renewed, its password file was not."),
    Scenario("pfx_cut", "the PFX file is cut short", _CERTIFICATE, _TOKEN, 3809, 3809, _R.CERTIFICATE_UNUSABLE, "The copy broke off."),
    Scenario("pfx_without_certificate", "the PFX file holds a key alone", _CERTIFICATE, _TOKEN, 3810, 3810, _R.CERTIFICATE_UNUSABLE, "The export took the key alone."),
    Scenario("pfx_without_key", "the PFX file holds a certificate alone", _CERTIFICATE, _TOKEN, 3811, 3811, _R.CERTIFICATE_UNUSABLE, "The key was not exportable."),
    Scenario("pfx_elliptic", "the PFX file's key is an EC key", _CERTIFICATE, _TOKEN, 3812, 3812, _R.CERTIFICATE_UNUSABLE, "The authority issues EC certificates since its upgrade."),
    Scenario("pfx_other_key", "the PFX file's key is another certificate's", _CERTIFICATE, _TOKEN, 3813, 3813, _R.CERTIFICATE_UNUSABLE, "Two renewals were mixed up."),
    Scenario("pfx_short_key", "the PFX file's key is too short to sign with", _CERTIFICATE, _TOKEN, 3814, 3814, _R.CERTIFICATE_UNUSABLE, "The key is from another age."),
    Scenario("pem_without_certificate", "the PEM file holds a key alone", _CERTIFICATE, _TOKEN, 3815, 3815, _R.CERTIFICATE_UNUSABLE, "The certificate was left in its own file."),
    Scenario("pem_without_key", "the PEM file holds a certificate alone", _CERTIFICATE, _TOKEN, 3816, 3816, _R.CERTIFICATE_UNUSABLE, "The key was left in its own file."),
    Scenario("pem_elliptic", "the PEM file's key is an EC key", _CERTIFICATE, _TOKEN, 3817, 3817, _R.CERTIFICATE_UNUSABLE, "Somebody made the request with a modern default."),
    Scenario("pem_other_key", "the PEM file's key is another certificate's", _CERTIFICATE, _TOKEN, 3818, 3818, _R.CERTIFICATE_UNUSABLE, "Two renewals were put together."),
    Scenario("pem_wrong_password", "the PEM file's key has another password", _CERTIFICATE, _TOKEN, 3818, 3818, _R.CERTIFICATE_UNUSABLE, "The key was locked anew."),
    Scenario("pem_short_key", "the PEM file's key is too short to sign with", _CERTIFICATE, _TOKEN, 3819, 3819, _R.CERTIFICATE_UNUSABLE, "The key is from another age."),
    Scenario("certificate_gone", "the certificate file is gone", _CERTIFICATE, _TOKEN, 3001, 3001, _R.SECRET_UNREADABLE, "A mount is missing."),
    # the host's identity
    Scenario("identity_absent", "nobody answers for the host's identity", _IDENTITY, _TOKEN, 3304, 3304, _R.IDENTITY_UNAVAILABLE, "The exporter was moved to a host without a managed identity."),
    Scenario("identity_unassigned", "the host has no identity of that client id", _IDENTITY, _TOKEN, 3304, 3304, _R.IDENTITY_UNAVAILABLE, "The identity was taken off the machine."),
    Scenario("identity_not_json", "a page answers for the host's identity", _IDENTITY, _TOKEN, 3304, 3304, _R.IDENTITY_UNAVAILABLE, "A proxy answers what should never leave the host."),
)  # fmt: skip
