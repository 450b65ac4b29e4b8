package gate

import "github.com/tinehq/tine/ipc/members"

// preferred is the member that a request asks for, with a place reserved; nil: it asks for none, or that one has no room, was tried,
// has refused a moment ago, or may get no request.
func (s *snapshot) preferred(r *Request) *member {
	if r.Prefer == "" {
		return nil
	}
	i, known := s.byID[r.Prefer]
	if !known {
		return nil
	}
	m := &s.all[i]
	stays := m.Weight > 0 && (r.Draining && m.State == members.Draining || m.State == members.Ready && m.Aside != "")
	if !(m.usable || stays) || m.full() || r.tried(m) || m.live.refusedUntil.Load() > r.Now || !m.reserve(r) {
		return nil
	}
	return m
}

// Standing is what a Picker knows of one member at one moment.
type Standing struct {
	State members.State // "": it is not in the table
	Full  bool          // it has as many requests as it may have
}

// Standing says how the member with an ID stands. It may be called by all goroutines at once.
func (p *Picker) Standing(id string) Standing {
	s := p.now.Load()
	i, known := s.byID[id]
	if !known {
		return Standing{}
	}
	return Standing{State: s.all[i].State, Full: s.all[i].full()}
}

// places are the indices of all, by ID.
func places(all []member) map[string]int32 {
	by := make(map[string]int32, len(all))
	for i := range all {
		by[all[i].ID] = int32(i)
	}
	return by
}
