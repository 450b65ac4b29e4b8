// Package above is what a master tells the process above it, its keeper or systemd, by systemd's notify protocol.
//
//	READY=1                    all apps were ready once; again after each change
//	RELOADING=1, MONOTONIC_USEC  a config is being read or applied, or a rollout is under way
//	STATUS=                    how things are, in words
//	WATCHDOG=1                 a sign of life, as often as it is asked for and as long as each app has a worker or will have one
//	STOPPING=1                 the master stops
//
// [Report] decides what is told and when; the loop owns it and calls Tell at the time that Next says. notifier.go delivers
// from a goroutine of its own, with a bounded queue, so that a receiver that does not read holds up nothing.
package above
