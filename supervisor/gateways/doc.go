// Package gateways keeps the tables and policies of the gateways that a master runs.
//
//	config ─── Values ───▶ ┌ Gateways ─────────────────────────────────┐
//	picture ── Pictured ──▶│ gateway: its sources ─▶ fleet.Fleet ─▶ table │──▶ cached value policy.TableKey
//	workers ── Tell ──────▶│                                    policy │──▶ cached value policy.Key
//	                       └────────────────────────────────────────────┘
//
// A gateway is an app with a Gateway in its config. Each has one goroutine, which owns its fleet.Fleet: what its sources emit, what its
// workers tell of requests and what persons order come to it as events, and each new table that the fleet orders becomes a cached
// value. The goroutine ends when the config has the gateway no more.
//
// The policy is made of the config alone. The loop sets it before it starts or rolls anything by that config, so that workers which the
// config starts have it.
//
// A change of the config keeps what is known of the members: only sources that are new or changed are begun, and only those that are
// gone or changed are ended.
//
//	gateways.go  Gateways: all of them, for the loop
//	gateway.go   gateway: one of them, in its goroutine
//	source.go    Source, and what a config has for sources
//	members.go   the source of members that a config names
//	slots.go     the source of an app of the same master
//	slot_members.go  its slots as members, each at its inner socket
//
// The table is a cached value that outlives its master. The gateway of the next one takes over what it says: a member that was down stays
// down until its checks pass, and what a person has drained stays drained.
//
// Nothing here waits for the loop, and the loop waits for nothing here.
package gateways
