package proc

import (
	"errors"
	"os"
	"testing"
)

func TestRSS(t *testing.T) {
	const grown = 64 << 20
	out := newCollected()
	small := mustStart(t, child(t, "fill", "0"), Options{Stdout: out.line})
	large := mustStart(t, child(t, "fill", "64"), Options{Stdout: out.line})
	out.wait(t, "filled 0")
	out.wait(t, "filled 64")
	a, err := small.RSS()
	if err != nil {
		t.Fatal(err)
	}
	b, err := large.RSS()
	if err != nil {
		t.Fatal(err)
	}
	if a < 1<<20 || b-a < grown*9/10 || b-a > grown*2 {
		t.Errorf("%d bytes, and %d with %d more", a, b, grown)
	}
	if err := small.Kill(); err != nil {
		t.Fatal(err)
	}
	exitOf(t, small)
	if n, err := small.RSS(); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("%d, %v after the exit, want %v", n, err, os.ErrProcessDone)
	}
}

func TestRSSOfOneThatIsNotReaped(t *testing.T) {
	p, reap := zombie(t)
	defer reap()
	if n, err := p.RSS(); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("%d, %v, want %v", n, err, os.ErrProcessDone)
	}
}

func TestStatm(t *testing.T) {
	for text, want := range map[string][2]int64{"100 20 3 4 0 5 0\n": {100, 20}, "0 0 0 0 0 0 0\n": {0, 0}} {
		if size, resident, ok := statm([]byte(text)); !ok || size != want[0] || resident != want[1] {
			t.Errorf("%q: %d, %d, %t", text, size, resident, ok)
		}
	}
	for _, text := range []string{"", "1", "1 x", "-1 1", "99999999999999999999 1"} {
		if _, _, ok := statm([]byte(text)); ok {
			t.Errorf("%q is read", text)
		}
	}
}

func BenchmarkRSS(b *testing.B) {
	p := mustStart(b, shell(b, "exec sleep 1000"), Options{})
	for b.Loop() {
		if _, err := p.RSS(); err != nil {
			b.Fatal(err)
		}
	}
}
