# Python with gRPC, for the Python example: a virtual environment of its own.
home="${WHIMBREL_SERVERS:-$HOME/.cache/whimbrel-servers}/python"
if [ ! -x "$home/bin/python" ] || ! "$home/bin/python" -c 'import grpc_tools, grpc_status' 2>/dev/null; then
  python3 -c 'import ensurepip' 2>/dev/null ||
    { apt-get -q update && apt-get -q -y install --no-install-recommends python3-venv; } >/dev/null
  python3 -m venv "$home"
  "$home/bin/pip" -q install 'grpcio==1.76.*' 'grpcio-tools==1.76.*' 'grpcio-status==1.76.*'
fi
"$home/bin/python" -c 'import grpc; print("grpcio", grpc.__version__)'
