#!/usr/bin/env bash
# Generates the Go and Python code of the .proto files. Both are committed; `make generate` calls this.
# Needs buf, protoc-gen-{go,go-grpc,connect-go} and a Python with grpcio-tools 1.76.0: its output
# imports on protobuf 6.31.1 to 7.x, that of later ones does not.
set -euo pipefail
cd "$(dirname "$0")"
: "${PYTHON:=python3}"
buf lint
buf generate --template buf.gen.worker.yaml --path dspex/worker
buf generate --template buf.gen.api.yaml --path dspex/api
python_out=../../python/dspex/_proto
rm -rf "$python_out"
mkdir -p "$python_out"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
# The import path inside the generated module must be dspex._proto, and stay clear of a user's own dspex.worker.
mkdir -p "$tmp/dspex/_proto"
cp dspex/worker/v1/worker.proto "$tmp/dspex/_proto/worker.proto"
"$PYTHON" -m grpc_tools.protoc -I"$tmp" --python_out="$tmp" --pyi_out="$tmp" "$tmp/dspex/_proto/worker.proto"
cp "$tmp"/dspex/_proto/worker_pb2.py "$tmp"/dspex/_proto/worker_pb2.pyi "$python_out/"
echo '"""Generated protocol code. Do not edit: see shared/proto/generate.sh."""' >"$python_out/__init__.py"
