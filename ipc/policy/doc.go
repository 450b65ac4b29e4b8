// Package policy is the document by which the workers of a gateway route, pick and deliver: [Policy].
//
//	config: apps.NAME.gateway ── supervisor/gateways ──▶ cached value [Key] ──▶ Decode ── each worker of the gateway
//
// It says nothing of the members: those are a document of their own ([TableKey], package ipc/members), which changes far more often.
// Both are cached values, so that nothing in a gateway's worker is ever loaded again: a new policy counts from the next request on.
package policy
