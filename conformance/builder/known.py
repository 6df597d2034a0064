"""What keg's builder makes otherwise than BuildKit, by the case's name, and why."""

DIFFERS = {
    "conformance/037-ci-pipeline-modified": "what `set` prints depends on the shell's version: the record's own two runs differ",
    "conformance/138-add-dir-not-dir": "an archive with an entry that has no name is refused: tar(1) does not know where it belongs either",
    "conformance/140-add-populated-dir-not-dir": "the record is of another archive: what it says is there is in no entry of this one",
    "bud/126-dest-final-slash-Dockerfile": "BuildKit leaves the places of its mounts (/dev, /proc, /sys) in the layer; here they are no part of it",
}
