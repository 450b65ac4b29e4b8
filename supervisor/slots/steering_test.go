package slots

import (
	"errors"
	"slices"
	"testing"
)

// kernel notes what it is told.
type kernel struct {
	slots int
	told  [][]int
	err   error
}

func (k *kernel) Slots() int { return k.slots }

func (k *kernel) SteerTo(slots []int) error {
	k.told = append(k.told, slots)
	return k.err
}

// TestSteering: the kernel is told what it does not know, and no more.
func TestSteering(t *testing.T) {
	k := &kernel{slots: 2}
	var s Steering
	if s.Due() {
		t.Fatal("due without an order")
	}
	for _, step := range []struct {
		what string
		do   func()
		told bool
	}{
		{"an order", func() { s.Order([]int{0, 1}) }, true},
		{"the same order", func() { s.Order([]int{0, 1}) }, false},
		{"another order", func() { s.Order([]int{1}) }, true},
		{"nothing to reconsider", func() { s.Reconsider() }, false},
		{"a slot that was opened", func() { k.slots = 3; s.Reconsider() }, true},
		{"what another app may have ordered", func() { s.Enforce() }, true},
	} {
		step.do()
		if !s.Due() {
			t.Fatalf("%s: not due", step.what)
		}
		before := len(k.told)
		changed, err := s.Apply(k)
		if err != nil || changed != step.told || (len(k.told) > before) != step.told || s.Due() {
			t.Errorf("%s: changed %v, error %v, told %v, due %v", step.what, changed, err, k.told[before:], s.Due())
		}
	}
	if got := s.Admitted(); !slices.Equal(got, []int{1}) {
		t.Errorf("slots %v are admitted, want 1", got)
	}
	k.err = errors.New("closed")
	s.Order([]int{2})
	if changed, err := s.Apply(k); !changed || !errors.Is(err, k.err) {
		t.Errorf("changed %v, error %v; want the error of the kernel", changed, err)
	}
}
