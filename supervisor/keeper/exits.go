package keeper

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"syscall"
)

// MaxExits is how many exits a keeper remembers. When there are more, the oldest are forgotten.
const MaxExits = 4096

// Exit is how a process ended that the keeper has reaped because its parent had died.
type Exit struct {
	PID int
	// Start is when it was started, in clock ticks since boot, as [StartTime] says it: a PID alone may have been used
	// again. 0: not known, because there is no /proc.
	Start  uint64
	Status syscall.WaitStatus
}

// exits is a ring: at is the oldest when it is full.
type exits struct {
	list []Exit
	at   int
}

func (r *exits) add(e Exit) {
	if len(r.list) < MaxExits {
		r.list = append(r.list, e)
		return
	}
	r.list[r.at] = e
	r.at = (r.at + 1) % MaxExits
}

// appendTo writes one line for each, the oldest first: PID, Start, Status. More words may follow in later versions.
func (r *exits) appendTo(b []byte) []byte {
	for i := range r.list {
		e := r.list[(r.at+i)%len(r.list)]
		b = fmt.Appendf(b, "%d %d %d\n", e.PID, e.Start, uint32(e.Status))
	}
	return b
}

// readExits reads what appendTo has written.
func readExits(r io.Reader) ([]Exit, error) {
	var list []Exit
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		var e Exit
		var status uint32
		if _, err := fmt.Fscan(bytes.NewReader(lines.Bytes()), &e.PID, &e.Start, &status); err != nil {
			return list, fmt.Errorf("cannot read the exit %q: %w", printable(lines.Text()), err)
		}
		e.Status = syscall.WaitStatus(status)
		list = append(list, e)
	}
	return list, lines.Err()
}
