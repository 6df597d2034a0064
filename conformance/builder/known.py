"""What keg's builder makes otherwise than BuildKit, by the case's name, and why."""

DIFFERS = {
    "conformance/037-ci-pipeline-modified": "what `set` prints depends on the shell's version: the record's own two runs differ",
    "conformance/138-add-dir-not-dir": "an archive with an entry that has no name is refused: tar(1) does not know where it belongs either",
    "conformance/140-add-populated-dir-not-dir": "the record is of another archive: what it says is there is in no entry of this one",
    "bud/126-dest-final-slash-Dockerfile": "BuildKit leaves the places of its mounts (/dev, /proc, /sys) in the layer; here they are no part of it",
}

# What the builder does not do yet: it is taken from here as soon as it does.
NOT_YET = {
    "ADD --exclude": (
        "conformance/071-add--exclude-includes-star",
        "conformance/072-add--exclude-includes-slash",
        "conformance/073-add--exclude-includes-dot",
    ),
    "COPY --exclude": (
        "bud/103-copy-exclude-Containerfile",
        "bud/104-copy-exclude-Containerfile.missing",
        "conformance/074-copy--exclude-includes-subdir-slash",
        "conformance/075-copy--exclude-includes-dot-slash",
        "conformance/076-copy--exclude-includes-slash",
        "conformance/077-copy--exclude-subdir-under-source",
        "conformance/078-copy--form-and--exclude-subdir-under-source",
        "conformance/079-copy--exclude-exception-under-source",
    ),
    "COPY --parents": (
        "bud/121-copy-parents-Containerfile",
        "conformance/080-copy--parents",
        "conformance/081-copy--parents-directories",
        "conformance/082-copy--parents-dir-with-links",
        "conformance/084-copy--parents-directory-with-parent-directory",
        "conformance/085-copy--parents-path-with-star",
        "conformance/086-copy--parents-two-parent-directories",
        "conformance/087-copy--parents-unknown-count-parent-directories",
        "conformance/089-copy--parents-limit-parents-unknown-count-parent-directories",
        "conformance/090-copy--parents-limit-parent-directories",
        "conformance/091-copy--parents-limit-parent-directories-1",
    ),
    "RUN --mount": (
        "bud/045-buildkit-mount-Dockerfilecachewritewithoutz",
        "bud/047-buildkit-mount-Dockerfiletmpfs",
        "bud/051-buildkit-mount-from-Dockerfilebindfromwithemptyfrom",
        "bud/056-buildkit-mount-from-Dockerfilecachefrom",
        "bud/058-buildkit-mount-from-Dockerfilecachemultiplefrom",
        "bud/059-buildkit-mount-from-Dockerfilemultistagefrom",
        "bud/060-buildkit-mount-from-Dockerfilemultistagefromcache",
        "bud/073-cache-from-stage-Containerfile",
        "bud/081-cache-stages-Dockerfile.3",
        "bud/218-run-mounts-Dockerfile.secret-not-required",
        "bud/249-secret-env-Dockerfile",
        "conformance/166-multistage-copyback",
        "conformance/177-mount-cache-by-ownership",
    ),
    "a build argument's value in the history of RUN": (
        "bud/290-with-arg-Dockerfile",
    ),
    "a heredoc with an interpreter line": (
        "bud/162-heredoc-Containerfile.bash_file",
    ),
    "a pattern that matches several files, copied to what is no directory": (
        "bud/113-copy-globs-Containerfile",
        "bud/115-copy-globs-Containerfile.missing",
    ),
}
DIFFERS |= {name: f"not yet: {what}" for what, names in NOT_YET.items() for name in names}
