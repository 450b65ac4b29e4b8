// Package load is what a server says of its load: Tine's own document, and how to find the same statistics in the JSON of other programs.
//
//	GET /v1/load ──▶ Document     {"version":1,"epoch":1764556800,"sequence":42,"hold_ms":0.2,"stats":{"cpu_idle":0.53,"in_flight":4}}
//	GET /stats   ──▶ any JSON ──▶ Paths: cpu_idle: "1 - cpu.busy / 100", connections: "clients.0.open"
//
// A statistic that is absent is unknown, and is never read as 0. The names and units are those of package ipc/members.
package load
