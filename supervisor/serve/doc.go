// Package serve answers for a master to the outside: the control socket, the dashboard, GET /metrics, and the health checks.
//
// It knows the master by the interface [Master] alone. What is only looked at comes from [Master.Snapshot], so that no reader
// takes the time of the loop; what changes something is a method that the loop's owner carries out.
//
//	server.go      Server: from New to the end; the control socket and who looks after it
//	commander.go   what the control API asks for and orders; ended.go, what it answers when the master has ended
//	status.go      a snapshot as the control API shows it; sampler.go, rates and latencies from one status to the next
//	values.go      cached values, and calls of workers
//	metrics.go     a snapshot as Prometheus reads it
//	health.go      /healthz and /readyz; load.go, /v1/load for the gateway of another Tine
//	agent.go       HAProxy's agent-check
//	upgrade.go     an order to replace the binary: tried first, one at a time
//	apply.go       an order to read the config again; drafts.go, whether the one on disk is another one
//	tcp.go         listeners of TCP addresses; handover.go, how all listeners go to the next master
//
// # Life of a Server
//
// [New] makes one that answers [Server.Commander] at once, with ErrEnded until the master runs. [Server.Start] listens. The
// function that it returns ends it, after the loop has: an answer that the loop gave last still goes out, and what is asked
// later is answered with 503 and the word ending, so that clients ask the next master.
//
// # Bounds
//
// Connections of each listener are bounded (Options.Conns and Askers); the connection that has idled longest makes room. A
// request over TCP has 2 s for its head and 15 s for its answer. A health check waits 900 ms for the end of a turn of the loop.
// A status waits 50 ms for a look at the config's files. At most one upgrade is under way.
package serve
