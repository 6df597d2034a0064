module keg/conformance/runtime-tools

go 1.21

require github.com/opencontainers/runtime-tools v0.9.1-0.20251114084447-edf4cb3d2116
