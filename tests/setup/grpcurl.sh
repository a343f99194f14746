# Sourced by tests/run: builds grpcurl, the control API's plainest client, once per machine.
# Needs go; WHIMBREL_TEST_TOOLS (default ~/.cache/whimbrel-servers/bin) is where tests look for it.

tools="${WHIMBREL_TEST_TOOLS:-$HOME/.cache/whimbrel-servers/bin}"
if [ ! -x "$tools/grpcurl" ]; then
    mkdir -p "$tools"
    GOBIN="$tools" GOFLAGS=-mod=mod go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4
fi
