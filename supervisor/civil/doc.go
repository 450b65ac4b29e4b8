// Package civil says when a schedule is due: the five fields of cron, read as civil time, which is what the clocks of
// a place show.
//
// A clock is set forward and back, by law twice a year and by hand at any time, so a local time may come twice or not at
// all. What then counts depends on the schedule:
//
//	fixed   names hours, such as 30 2 * * *. Each local time that it names comes once: at its first coming, and where the
//	        clock is set forward over it, in the moment in which it is set. Several that are skipped together are one.
//	wild    names every hour, or its minutes begin with *, such as */15 * * * *. It goes by the clock as it is: in an hour
//	        that comes twice it is due in both, in one that is skipped it is not due.
//	every   @every 90m. It has no civil time.
//
// This is what Vixie's cron does for jobs that run more seldom than once an hour and for all others.
//
// The package is pure: it reads no clock. Its zones are those of package time.
package civil
