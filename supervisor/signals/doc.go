// Package signals is what the signals of a master's process mean.
//
//	SIGTERM, SIGINT, SIGQUIT   stop; another one: at once
//	SIGUSR2                    a rolling restart
//	SIGTTIN, SIGTTOU           a worker more, a worker fewer
//	SIGHUP                     read the config again
//	SIGUSR1                    open the log files again
//	one that the user chooses  upgrade ([ParseUpgrade], [WatchUpgrade])
//
// [Watch] turns them into calls, from a goroutine that never waits for a disk: a stop must get through while the config file of
// an earlier SIGHUP hangs. dedup.go drops the copies that a keeper passes on of a signal that was sent to both processes.
// [Find] reads the name of one. What a signal does is the caller's; nothing here knows of a loop.
package signals
