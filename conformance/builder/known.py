"""What keg's builder makes otherwise than BuildKit, by the case's name, and why."""

DIFFERS = {
    "conformance/037-ci-pipeline-modified": "what `set` prints depends on the shell's version: the record's own two runs differ",
    "conformance/138-add-dir-not-dir": "an archive with an entry that has no name is refused: tar(1) does not know where it belongs either",
    "conformance/140-add-populated-dir-not-dir": "the record is of another archive: what it says is there is in no entry of this one",
    "bud/126-dest-final-slash-Dockerfile": "BuildKit leaves the places of its mounts (/dev, /proc, /sys) in the layer; here they are no part of it",
}

DIFFERS |= dict.fromkeys((
    "bud/122-copy-parents-Containerfile-hardlinks",
    "conformance/083-copy--parents-all-directories",
    "conformance/088-copy--parents-directory-limit-parents-unknown-count-parent-directories",
), "BuildKit 0.32 does not find `x/./` and `./` of COPY --parents, which the reference has, and which earlier ones and buildah take")

# What the builder does not do yet: it is taken from here as soon as it does.
NOT_YET = {
    "patterns that match one file after all, copied to what is no directory": (
        "bud/115-copy-globs-Containerfile.missing",
    ),
    "a build argument's value in the history of RUN": (
        "bud/290-with-arg-Dockerfile",
    ),
}
DIFFERS |= {name: f"not yet: {what}" for what, names in NOT_YET.items() for name in names}
