"""Configurations that a test writes, with the files that they name."""

import yaml

from exporter.config.load import load_config


def write_private(path, content):
    """Write a file that only its owner may read."""
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def written(folder, document, **secrets):
    """Write a configuration, as text or as a document, and its secrets; return it as it is loaded without a problem."""
    for name, secret in secrets.items():
        write_private(folder / name, secret)
    file = folder / "ekm.yml"
    file.write_text(document if isinstance(document, str) else yaml.safe_dump(document))
    loaded = load_config(file)
    assert loaded.problems == ()
    return loaded.config
