package eventually

import (
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// failing is a test that notes how it was failed. Fatalf ends the goroutine, as that of a real test does.
type failing struct {
	testing.TB
	text string
}

func (f *failing) Helper() {}

func (f *failing) Fatalf(format string, args ...any) {
	f.text = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// fails runs check in a test of its own, in time that jumps to the next timer, and returns the text that it fails with,
// empty if it passes, and how long that took.
func fails(t *testing.T, check func(t testing.TB)) (text string, took time.Duration) {
	synctest.Test(t, func(*testing.T) {
		f := &failing{}
		began := time.Now()
		done := make(chan struct{})
		go func() {
			defer close(done)
			check(f)
		}()
		<-done
		text, took = f.text, time.Since(began)
	})
	return text, took
}

func TestTheLimit(t *testing.T) {
	for want, check := range map[string]func(t testing.TB){
		"a sign: it is still not so": func(t testing.TB) { True(t, "a sign", func() bool { return false }) },
		fmt.Sprintf("an answer: look %d", Patience()/pace+1): func(t testing.TB) {
			looks := 0
			NoError(t, "an answer", func() error { looks++; return fmt.Errorf("look %d", looks) })
		},
		"a value": func(t testing.TB) { Receive(t, "a value", make(chan int)) },
	} {
		want = fmt.Sprintf("not within %s: %s", Patience(), want)
		if got, took := fails(t, check); got != want || took != Patience() {
			t.Errorf("after %s failed with %q, want %q after %s", took, got, want, Patience())
		}
	}
}

func TestItComes(t *testing.T) {
	for name, check := range map[string]func(t testing.TB){
		"true": func(t testing.TB) {
			looks := 0
			True(t, "the third look", func() bool { looks++; return looks == 3 })
		},
		"no error": func(t testing.TB) {
			looks := 0
			NoError(t, "the third look", func() error {
				if looks++; looks < 3 {
					return errors.New("too early")
				}
				return nil
			})
		},
		"a value": func(t testing.TB) {
			c := make(chan int)
			time.AfterFunc(2*pace, func() { c <- 7 })
			if got := Receive(t, "seven", c); got != 7 {
				t.Fatalf("received %d", got)
			}
		},
		"a closed channel": func(t testing.TB) {
			c := make(chan int)
			time.AfterFunc(2*pace, func() { close(c) })
			Receive(t, "the end", c)
		},
	} {
		if text, took := fails(t, check); text != "" || took != 2*pace {
			t.Errorf("%s: after %s failed with %q, want success after %s", name, took, text, 2*pace)
		}
	}
}

func TestScaled(t *testing.T) {
	for factor, want := range map[string]time.Duration{
		"": limit, "1": limit, "0.5": limit / 2, "3": 3 * limit, "100": 100 * limit,
		"0": 0, "-1": 0, "101": 0, "NaN": 0, "30s": 0, "x": 0, // refused
	} {
		if got, err := scaled(factor); got != want || (err != nil) != (want == 0) {
			t.Errorf("%q: %s, %v, want %s", factor, got, err, want)
		}
	}
}
