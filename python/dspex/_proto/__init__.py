"""Generated protocol code. Do not edit: see shared/proto/generate.sh."""
