// Package eventually waits, in tests, for what has no event of its own. The whole module has one limit for such waits.
//
//	True     polls until a function returns true
//	NoError  polls until a function returns no error; the last error is the reason of the failure
//	Receive  waits for a value on a channel, or for its end
//	Patience the limit, for deadlines of connections and contexts
//
// A test that can wait for an event (a line, a closed channel, the end of a pipe) waits for that with Receive. True and
// NoError are for what only a look can tell: a file in /proc, a counter, an answer over HTTP.
//
// # The limit
//
// Patience is 30 seconds. No test is expected to take nearly as long: the limit is there so that a broken test fails with a
// reason instead of with the time limit of the whole run. On a slow or busy machine the environment variable
// TINE_TEST_PATIENCE multiplies it: 3 makes it 90 seconds. The factor is a decimal number of 0.01 to 100; with any other
// value the test binary ends with a panic.
//
// Only tests import this package. A test in package supervisor holds that.
package eventually
