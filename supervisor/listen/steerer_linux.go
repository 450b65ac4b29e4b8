package listen

import (
	"github.com/tinehq/tine/ipc"
)

// makers are the kinds of a system, best first. The last never fails.
func makers() []maker {
	return []maker{
		{KindEBPF, makeEBPF},
		{KindCBPF, func(s *Set, _ int) (steerer, error) {
			c := newCBPF(len(s.groups), s.options)
			c.number, c.member = s.numbering, s.membership
			return c, nil
		}},
		{KindHash, func(s *Set, _ int) (steerer, error) {
			h := newHash(len(s.groups))
			h.number, h.member = s.numbering, s.membership
			return h, nil
		}},
	}
}

// makeEBPF makes the Set's board on a map that the program reads. The board outlives the program: it is mapped.
func makeEBPF(s *Set, slots int) (steerer, error) {
	if s.adopting != nil && s.board != nil {
		return adoptEBPF(s.adopting, s.board, slots, s.options)
	}
	hot, err := newHotMap()
	if err != nil {
		return nil, err
	}
	defer hot.Close()
	board, err := ipc.NewBoardOn(hot)
	if err != nil {
		return nil, err
	}
	var st steerer
	if s.adopting != nil { // the board was lost, and the maps of sockets were not
		st, err = adoptEBPF(s.adopting, board, slots, s.options)
	} else {
		st, err = newEBPF(hot, board, slots, s.options)
	}
	if err != nil {
		board.Close()
		return nil, err
	}
	s.board = board
	return st, nil
}
