package gate

import (
	"strconv"

	"github.com/tinehq/tine/ipc/members"
)

// Moved is the share of keys, 0 to 1, that go to another member when the list of members is another one: of 10,000 keys or, where there are
// more than 100 members, of 1,000. o says how they are picked. States do not count: a member that is down now will be back. 0 where members
// are not picked by keys, and where either list is empty.
func Moved(o Options, before, after []members.Member) (float64, error) {
	if !ByKey(o.Way) || len(before) == 0 || len(after) == 0 {
		return 0, nil
	}
	o.Counters, o.Bounded = nil, 0
	var of [2]*Picker
	for i, list := range [][]members.Member{before, after} {
		t := members.Table{Version: members.Version}
		for _, m := range list {
			m.State, m.Report, m.MaxInFlight = members.Ready, nil, 0
			t.Members = append(t.Members, m)
		}
		var err error
		if of[i], err = New(o); err != nil {
			return 0, err
		}
		of[i].Update(t, 1)
	}
	keys, moved := 10_000, 0
	if max(len(before), len(after)) > 100 {
		keys = 1_000
	}
	for i := range keys {
		var ids [2]string
		for j, p := range of {
			pick, err := p.Pick(Request{Key: "key " + strconv.Itoa(i), Now: 1})
			if err != nil {
				return 0, err
			}
			ids[j] = pick.Member().ID
			pick.Release()
		}
		if ids[0] != ids[1] {
			moved++
		}
	}
	return float64(moved) / float64(keys), nil
}
