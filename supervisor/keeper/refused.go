package keeper

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// ErrFull is what Store says of files for which there is no room, where it knows so itself: see [Client.Room].
var ErrFull = errors.New("no room for more files")

// Room says what is stored, and what was refused.
type Room struct {
	Files, MaxFiles int // stored, and the most; MaxFiles 0: not known, as of a keeper older than this question
	Names, MaxNames int // bytes that the names take, and the most

	// Refused are names of which files were refused, and since then neither stored nor removed; sorted. More of them are only
	// counted.
	Refused []string
	More    int
}

// maxRefused is how many refused names are remembered.
const maxRefused = 2048

// refusals are the names of which files are missing. The zero value has none.
type refusals struct {
	names map[string]bool
	more  int
}

func (r *refusals) add(name string) {
	switch {
	case r.names[name]:
	case len(r.names) >= maxRefused:
		r.more++
	default:
		if r.names == nil {
			r.names = map[string]bool{}
		}
		r.names[name] = true
	}
}

func (r *refusals) remove(name string) {
	delete(r.names, name)
	if len(r.names) == 0 {
		r.more = 0 // it is not known of which; a master that still misses one is told when it tries again
	}
}

func (r *refusals) tell(to *Room) {
	for name := range r.names {
		to.Refused = append(to.Refused, name)
	}
	slices.Sort(to.Refused)
	to.More = r.more
}

// appendTo writes lines "KEY VALUE". More keys may follow in later versions.
func (r Room) appendTo(b []byte) []byte {
	b = fmt.Appendf(b, "files %d\nmaxfiles %d\nnames %d\nmaxnames %d\nmore %d\n", r.Files, r.MaxFiles, r.Names, r.MaxNames, r.More)
	for _, name := range r.Refused {
		b = append(append(append(b, "refused "...), name...), '\n')
	}
	return b
}

// readRoom reads what appendTo has written.
func readRoom(from io.Reader) (r Room, err error) {
	numbers := map[string]*int{"files": &r.Files, "maxfiles": &r.MaxFiles, "names": &r.Names, "maxnames": &r.MaxNames, "more": &r.More}
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), " ")
		if key == "refused" {
			r.Refused = append(r.Refused, value)
		} else if n := numbers[key]; n != nil {
			if *n, err = strconv.Atoi(value); err != nil {
				return Room{}, fmt.Errorf("cannot read the room %q: %w", printable(lines.Text()), err)
			}
		}
	}
	return r, lines.Err()
}
