package members

import (
	"encoding/json"
	"fmt"
)

// Version is that of the encoding. A reader takes every version up to its own, and refuses a later one, as it could not tell what it
// does not understand.
const Version = 1

// Table is all members at one moment, in the order in which the source lists them. It never changes.
type Table struct {
	Version int      `json:"version"`
	Epoch   uint64   `json:"epoch"` // of this table; only grows
	Members []Member `json:"members"`
}

// Encode writes t for Decode. The caller keeps t.
func Encode(t Table) ([]byte, error) {
	t.Version = Version
	b, err := json.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("cannot encode the table of members: %w", err)
	}
	return b, nil
}

// Decode reads what Encode has written, and checks it: what it returns has members with an ID each, no two with the same.
func Decode(b []byte) (Table, error) {
	var t Table
	if err := json.Unmarshal(b, &t); err != nil {
		return Table{}, fmt.Errorf("cannot read the table of members: %w", err)
	}
	if t.Version < 1 || t.Version > Version {
		return Table{}, fmt.Errorf("cannot read the table of members: it has version %d, and 1 to %d is expected; upgrade this program", t.Version, Version)
	}
	seen := make(map[string]struct{}, len(t.Members))
	for i := range t.Members {
		m := &t.Members[i]
		if err := m.Check(); err != nil {
			return Table{}, fmt.Errorf("cannot read the table of members: %w", err)
		}
		if _, twice := seen[m.ID]; twice {
			return Table{}, fmt.Errorf("cannot read the table of members: two have the id %q", m.ID)
		}
		seen[m.ID] = struct{}{}
	}
	return t, nil
}
