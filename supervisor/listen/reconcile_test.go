package listen

import (
	"math/rand/v2"
	"testing"
	"time"
)

const ms = int64(time.Millisecond)

func TestLedger(t *testing.T) {
	type step struct{ at, missing, want int64 } // at in ms
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"nothing missing", []step{{0, 0, 0}, {500, 0, 0}, {1000, 0, 0}, {2000, 0, 0}}},
		{"leaked", []step{{0, 5, 0}, {250, 5, 0}, {500, 7, 0}, {750, 5, 0}, {1000, 6, 5}, {1250, 1, 0}}},
		{"under way", []step{{0, 5, 0}, {250, 3, 0}, {500, 0, 0}, {750, 4, 0}, {1000, 6, 0}, {1250, 6, 0}}},
		{"too few looks", []step{{0, 5, 0}, {1500, 5, 0}, {3000, 5, 5}}},
		{"not long enough", []step{{0, 5, 0}, {10, 5, 0}, {990, 5, 0}, {1000, 5, 5}}},
		{"less than nothing", []step{{0, 5, 0}, {10, -3, -3}, {20, 0, 0}}},
	} {
		var l ledger
		for i, s := range c.steps {
			if got := l.look(s.at*ms, s.missing); got != s.want {
				t.Errorf("%s: step %d: corrected by %d, want %d", c.name, i, got, s.want)
			}
		}
	}
}

// account is a slot whose connections are followed one by one, to hold a ledger against.
type account struct {
	ledger   ledger
	at       int64
	leaked   int64 // will never be accepted
	underWay int64 // will be queued
	fixed    int64 // by the ledger
}

func (a *account) look(after time.Duration) {
	a.at += int64(after)
	a.fixed += a.ledger.look(a.at, a.leaked+a.underWay-a.fixed)
}

// wrong is by how much the slot's load is off: less than nothing makes it look idler than it is.
func (a *account) wrong() int64 { return a.leaked - a.fixed }

// After any history, once everything that was under way has been decided, the ledger is right within two windows.
func checkLedger(t *testing.T, seed uint64, steps int) {
	r := rand.New(rand.NewPCG(seed, 1))
	var a account
	for range steps {
		a.underWay += int64(r.IntN(20))
		for range r.IntN(3) {
			if n := int64(r.IntN(20)); n <= a.underWay {
				a.underWay -= n // queued
				if r.IntN(4) == 0 {
					a.leaked += n // or not
				}
			}
		}
		a.look([]time.Duration{tickLoad, tickLoad, tickFast, tickQuiet}[r.IntN(4)])
		if have := a.leaked + a.underWay - a.fixed; have < 0 {
			t.Fatalf("seed %d: the slot counts %d that it does not have", seed, have)
		}
	}
	a.underWay = 0
	for range 10 {
		a.look(tickLoad)
	}
	if a.wrong() != 0 {
		t.Fatalf("seed %d: %d leaked, %d corrected", seed, a.leaked, a.fixed)
	}
}

func TestLedgerIsRightInTheEnd(t *testing.T) {
	for seed := range uint64(300) {
		checkLedger(t, seed, 1+int(seed%60))
	}
}

func FuzzLedger(f *testing.F) {
	f.Add(uint64(1), 50)
	f.Fuzz(func(t *testing.T, seed uint64, steps int) { checkLedger(t, seed, min(max(steps, 0), 2000)) })
}

// Handshakes that take several seconds are taken for leaked ones, until they are finished.
func TestLedgerTakesBack(t *testing.T) {
	a := account{underWay: 7}
	for range 12 {
		a.look(tickLoad)
	}
	if a.fixed != 7 {
		t.Fatalf("after 3 s %d are corrected, want 7", a.fixed)
	}
	a.underWay = 3 // four are accepted
	a.look(tickLoad)
	if a.fixed != 3 {
		t.Errorf("%d are corrected, want the 3 that are still under way", a.fixed)
	}
}

func TestLedgerRecoversFromAFlood(t *testing.T) {
	var a account
	for range 10 {
		a.leaked += 2000
		a.look(100 * time.Millisecond)
	}
	for range 8 {
		a.look(tickLoad)
	}
	if a.wrong() != 0 {
		t.Errorf("2 s after 20,000 half-open handshakes %d still count", a.wrong())
	}
}

func TestFlood(t *testing.T) {
	var f flood
	for i, s := range []struct {
		at, missing int64
		want        bool
	}{{0, 0, false}, {250, 255, false}, {500, 5000, true}, {750, 5000, true}, {1000, 0, true}, {2500, 0, true}, {2750, 0, false}, {3000, 256, true}} {
		if got := f.look(s.at*ms, s.missing); got != s.want {
			t.Errorf("step %d: %v, want %v", i, got, s.want)
		}
	}
}
