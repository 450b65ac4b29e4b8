// Package wake is when a loop that waits for messages has something to do by itself.
//
//	Agenda    ──Next──▶ ┐
//	cores     ────────▶ ├ Earliest ──▶ Alarm.Set ──▶ one timer ──▶ the loop ──▶ Alarm.Late, Agenda.Take
//	the rest  ────────▶ ┘
//
// An [Agenda] has messages that the loop gives itself at a time. [Earliest] is the first of all times. An [Alarm] is the one timer, and
// knows what it was set to: a loop that is woken much later than that has not run meanwhile, as the machine, the VM, the container or the
// process was stopped, and judges nobody by that time.
//
// Nothing here has a goroutine, and nothing but Alarm has a timer. All of it is for one goroutine.
package wake
