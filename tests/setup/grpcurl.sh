# grpcurl, the control API's plainest client: built once per machine, with go.
tools="${WHIMBREL_SERVERS:-$HOME/.cache/whimbrel-servers}/bin"
if [ ! -x "$tools/grpcurl" ]; then
  mkdir -p "$tools"
  GOBIN="$tools" go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4
fi
"$tools/grpcurl" -version 2>&1
