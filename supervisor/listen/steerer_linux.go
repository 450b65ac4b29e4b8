package listen

import (
	"github.com/tinehq/tine/ipc"
)

// makers are the kinds of a system, best first. The last never fails.
func makers() []maker {
	return []maker{
		{KindEBPF, makeEBPF},
		{KindCBPF, func(s *Set, _ int) (steerer, error) { return newCBPF(len(s.groups), s.options), nil }},
		{KindHash, func(s *Set, _ int) (steerer, error) { return newHash(len(s.groups)), nil }},
	}
}

// makeEBPF makes the Set's board on a map that the program reads. The board outlives the program: it is mapped.
func makeEBPF(s *Set, slots int) (steerer, error) {
	if s.adopting != nil {
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
	st, err := newEBPF(hot, board, slots, s.options)
	if err != nil {
		board.Close()
		return nil, err
	}
	s.board = board
	return st, nil
}
