"""Judges a bill of materials with the validator of SPDX's own tools, and with a reader of package URLs as scanners have one.

usage: sbom.py FILE ROOT, where ROOT is the unpacked image
"""

import hashlib
import pathlib
import sys

from packageurl import PackageURL
from spdx_tools.spdx.model import RelationshipType
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document


def installed(root):
    """Every package that dpkg calls installed, as (name, version, architecture)."""
    found = set()
    for stanza in (root / "var/lib/dpkg/status").read_text().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and line[0] != " ")
        if fields.get("Status", "").endswith(" installed"):
            found.add((fields["Package"], fields["Version"], fields["Architecture"]))
    return found


def main():
    path, root = sys.argv[1], pathlib.Path(sys.argv[2])
    document = parse_file(path)
    mistakes = [message.validation_message for message in validate_full_spdx_document(document)]
    assert not mistakes, "\n".join(mistakes[:10])

    contained = {
        relationship.related_spdx_element_id
        for relationship in document.relationships
        if relationship.relationship_type == RelationshipType.CONTAINS
        and relationship.spdx_element_id == "SPDXRef-Image"
    }
    debian, python = set(), set()
    for package in (package for package in document.packages if package.spdx_id in contained):
        for reference in package.external_references:
            purl = PackageURL.from_string(reference.locator)
            assert purl.to_string() == reference.locator, reference.locator
            if purl.type == "deb":
                assert purl.namespace == "debian" and purl.qualifiers["distro"] == "debian-12", purl
                debian.add((purl.name, purl.version, purl.qualifiers["arch"]))
                assert package.checksums and str(package.download_location).startswith("http"), package.name
            if purl.type == "pypi":
                python.add(f"{purl.name}=={purl.version}")
                assert package.checksums and str(package.download_location).startswith("http"), package.name
    assert debian == installed(root), debian ^ installed(root)

    for file in document.files:
        content = (root / file.name).read_bytes()
        sums = {checksum.algorithm.name: checksum.value for checksum in file.checksums}
        assert sums["SHA256"] == hashlib.sha256(content).hexdigest(), file.name
        assert sums["SHA1"] == hashlib.sha1(content).hexdigest(), file.name

    unknown = sum(str(p.license_declared) == "NOASSERTION" for p in document.packages if p.spdx_id in contained)
    print(f"{len(debian)} packages of Debian, {len(python)} of Python: {' '.join(sorted(python))}")
    print(f"{len(document.files)} files: {' '.join(sorted(file.name for file in document.files))}")
    print(f"{unknown} without a known licence", file=sys.stderr)


if __name__ == "__main__":
    main()
