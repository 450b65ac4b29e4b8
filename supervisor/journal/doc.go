// Package journal is what is told and remembered of the records of the cores: a line of the log (line.go, apps.go), an event for those
// that follow (event.go, apps.go), and what of them outlives the workers, and the app itself when it is stopped and started again
// (history.go).
//
// A record is a fact; nothing here decides or waits.
package journal
