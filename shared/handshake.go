package shared

import (
	goplugin "github.com/hashicorp/go-plugin"
)

const (
	// ProtocolVersion is the application protocol version that go-plugin
	// negotiates: the major version of dspex.worker.v1.
	ProtocolVersion = 1
	// PluginName is the key of the worker in the plugin map.
	PluginName = "worker"
	// MaxMessage is the largest gRPC message between host and worker, in bytes,
	// where the configuration says nothing else.
	MaxMessage = 64 << 20
	// ChunkWindow is the number of chunks that a call may send before its first
	// credit.
	ChunkWindow = 64
	// FragmentSize is the payload size in bytes above which it is sent in
	// fragments of this size.
	FragmentSize = 64 << 10
	// MaxDepth is the deepest nesting of a JSON payload.
	MaxDepth = 64
)

// Handshake is the magic cookie of dspex workers. It keeps people from running a
// plugin by hand; it is no security measure.
func Handshake() goplugin.HandshakeConfig {
	return goplugin.HandshakeConfig{
		ProtocolVersion:  ProtocolVersion,
		MagicCookieKey:   "DSPEX_PLUGIN",
		MagicCookieValue: "5d0f4c7e9b1a4a63a1de54f1f6a0c2b7",
	}
}

// VersionedPlugins is the host's side of version negotiation. It returns a fresh
// map each time, because go-plugin changes the one that it is given.
func VersionedPlugins() map[int]goplugin.PluginSet {
	return map[int]goplugin.PluginSet{
		ProtocolVersion: {PluginName: &WorkerPlugin{}},
	}
}
