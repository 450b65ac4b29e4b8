// Package supervisor keeps worker processes running: one for each slot of each app, on sockets that outlive them. It is what
// cmd/tine runs, and what a program imports that wants to be master and worker in one binary.
//
// This package is a door. Behind it each concern has a package of its own, and nothing imports back up:
//
//	            ┌──────────────────────── master ─────────────────────────┐
//	signals ──▶ │ one goroutine, one inbox, one timer:                    │ ◀── serve: control socket, TCP, dashboard,
//	methods ──▶ │ facts to the cores, effects to the shell                │     health, metrics; reads snapshot
//	            └──┬──────────────┬──────────────┬───────────────┬────────┘
//	          orders (pure)   apps (pure)    pool (pure)     succession
//	          what is         between apps   the workers     what outlives
//	          ordered                        of one app      a master
//	            ┌──────────────┬──────────────┬───────────────┬───────────┐
//	          handle         launch         listen          cache        logs, book, filewatch,
//	          one worker     what it is     slot sockets,   values       config, host
//	          process        started with   steering
//
// What the cores order is done in packages between master and the cores: crew (workers and sockets of an app), desk (callers of orders),
// plan (a config that is being applied), values (sources of values), handlers (the program's own functions) and estate (what the next
// master takes over).
//
// # Master and worker in one program
//
// A program that is both:
//
//	if supervisor.IsWorker() {
//		serve() // with package worker
//		return
//	}
//	config := supervisor.Single("web", []string{":7000"}, 0, supervisor.Self())
//	err := supervisor.Run(context.Background(), config)
//
// [New] returns a [Supervisor] before it runs, whose methods set and delete cached values, send a message to all workers
// (Broadcast) or call one, and roll, scale, apply a config, stop, and tell the status.
//
// The words are in GLOSSARY.md, the bounds of everything in LIMITS.md. How it works inside: packages master, crew, estate,
// pool, apps, listen, keeper.
package supervisor
