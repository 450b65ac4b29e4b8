package values

import "testing"

// TestLook: a caller gets a copy of a value with what is told of it, and the keys that there are where there is none.
func TestLook(t *testing.T) {
	s := newStage(t)
	s.start(t)
	if _, err := s.Set("a", text(t, "1")); err != nil {
		t.Fatal(err)
	}
	answer := make(chan Found, 1)
	Look{"a", answer}.Act(s.Values)
	if f := <-answer; !f.Known || string(f.Data) != "1" || f.Status.Epoch != 1 || f.Err != nil || f.Keys != nil {
		t.Errorf("%+v", f)
	}
	Look{"b", answer}.Act(s.Values)
	if f := <-answer; f.Known || f.Data != nil || len(f.Keys) != 1 || f.Keys[0] != "a" {
		t.Errorf("%+v of a key that is not there", f)
	}
	for _, known := range []bool{true, false} {
		Forget{"a", answer}.Act(s.Values)
		if f := <-answer; f.Known != known {
			t.Errorf("deleted %+v, want known: %v", f, known)
		}
	}
}
