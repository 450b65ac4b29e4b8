package pool

import "fmt"

// agree reports whether what is asked without copies is what Status says. The checker asks it after each step.
func agree(p *Pool) error {
	st, settled := p.Status(), true
	for n := range st.Wanted {
		settled = settled && n < len(st.Slots) && (st.Slots[n].Held != "" || st.Slots[n].Finished || ready(st.Slots[n]))
	}
	if p.Phase().String() != st.Phase || p.Wanted() != st.Wanted {
		return fmt.Errorf("%s with %d wanted; Status says %s and %d", p.Phase(), p.Wanted(), st.Phase, st.Wanted)
	}
	if p.Settled() != settled || p.Slots() != len(st.Slots) || p.ReadyCount() != st.Ready {
		return fmt.Errorf("settled %t, %d slots, %d ready; Status says %t, %d, %d", p.Settled(), p.Slots(), p.ReadyCount(), settled, len(st.Slots), st.Ready)
	}
	for n, s := range st.Slots {
		want := SlotBrief{Held: s.Held != "", Finished: s.Finished, Ready: ready(s), Workers: len(s.Workers)}
		if got, ok := p.Slot(n); !ok || got != want {
			return fmt.Errorf("slot %d is %+v, Status says %+v", n, got, want)
		}
	}
	if _, ok := p.Slot(len(st.Slots)); ok {
		return fmt.Errorf("there is a slot %d", len(st.Slots))
	}
	return nil
}

func ready(s SlotStatus) bool {
	for _, w := range s.Workers {
		if w.State == StateReady {
			return true
		}
	}
	return false
}
