// Package wake is when a loop that waits for messages has something to do by itself.
//
//	Agenda    ──Next──▶ ┐
//	cores     ────────▶ ├ Earliest ──▶ Alarm.Set ──▶ one timer ──▶ the loop ──▶ Alarm.Late, Agenda.Take
//	the rest  ────────▶ ┘
//
// An [Agenda] has messages that the loop gives itself at a time. [Earliest] is the first of all times. An [Alarm] is the one timer, and
// knows what it was set to: a loop that is woken much later than that has not run meanwhile, as the machine, the VM, the container or the
// process was stopped, and counts that time against no worker.
//
// [WithRunTime] is a timeout for another process that does not count such a pause either: it has a goroutine and a timer of its own.
// Nothing else here has either, and all of the rest is for one goroutine.
package wake
