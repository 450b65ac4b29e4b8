package eventually

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"
)

const (
	variable = "TINE_TEST_PATIENCE"
	limit    = 30 * time.Second
	pace     = 2 * time.Millisecond // between two looks
)

var patience = sync.OnceValue(func() time.Duration {
	d, err := scaled(os.Getenv(variable))
	if err != nil {
		panic(err)
	}
	return d
})

// Patience returns the limit of every wait: 30 seconds, multiplied by TINE_TEST_PATIENCE.
func Patience() time.Duration { return patience() }

// scaled returns the limit multiplied by a factor as the environment has it; empty is 1.
func scaled(factor string) (time.Duration, error) {
	if factor == "" {
		return limit, nil
	}
	f, err := strconv.ParseFloat(factor, 64)
	if err != nil || !(f >= 0.01 && f <= 100) { // NaN too
		return 0, fmt.Errorf("%s is %q: it must be a number of 0.01 to 100", variable, factor)
	}
	return time.Duration(f * float64(limit)), nil
}

// True calls is until it returns true: at once, then every two milliseconds. After Patience it ends the test, with what in
// the message. Call it from the goroutine of the test.
func True(t testing.TB, what string, is func() bool) {
	t.Helper()
	NoError(t, what, func() error {
		if is() {
			return nil
		}
		return errNotYet
	})
}

var errNotYet = errors.New("it is still not so")

// NoError calls try until it returns nil: at once, then every two milliseconds. After Patience it ends the test, with what
// and the last error in the message. Call it from the goroutine of the test.
func NoError(t testing.TB, what string, try func() error) {
	t.Helper()
	over := time.Now().Add(Patience())
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		if !time.Now().Before(over) {
			t.Fatalf("not within %s: %s: %v", Patience(), what, err)
		}
		<-ticker.C
	}
}

// Receive returns the next value of a channel, or the zero value once the channel is closed. After Patience it ends the
// test, with what in the message. Call it from the goroutine of the test.
func Receive[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	timer := time.NewTimer(Patience())
	defer timer.Stop()
	select {
	case v := <-from:
		return v
	case <-timer.C:
		t.Fatalf("not within %s: %s", Patience(), what)
		panic("unreachable")
	}
}
