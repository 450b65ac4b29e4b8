package checks

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/tinehq/tine/ipc/members"
	"github.com/tinehq/tine/supervisor/fleet"
)

// Agent asks the agent of a member, at a port of the member's host.
type Agent struct {
	Port int    // 1 to 65535
	Send string // what is sent first, with \n where the agent wants it; may be empty
}

// mostWords bounds what an agent says, in bytes.
const mostWords = 4 << 10

func (a Agent) check(ctx context.Context, m members.Member) (fleet.Event, error) {
	host, _, err := net.SplitHostPort(m.Address)
	if err != nil || filepath.IsAbs(m.Address) {
		return nil, fmt.Errorf("member %s has no host that an agent could be on: its address is %s", m.ID, m.Address)
	}
	var line string
	err = talk(ctx, net.JoinHostPort(host, strconv.Itoa(a.Port)), func(c net.Conn) error {
		if _, err := io.WriteString(c, a.Send); err != nil {
			return err
		}
		// A line ends what an agent says, and so does the end of the connection.
		text, err := bufio.NewReader(io.LimitReader(c, mostWords)).ReadString('\n')
		if line = text; text != "" && errors.Is(err, io.EOF) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	advice, err := ParseWords(line)
	advice.ID = m.ID
	return advice, err
}

// ParseWords reads what an agent says. Words that are not known are passed over; it fails where none is.
func ParseWords(line string) (fleet.Advised, error) {
	var a fleet.Advised
	known := false
	words, why, _ := strings.Cut(strings.TrimRight(line, "\r\n"), "#")
	for word := range strings.FieldsFuncSeq(words, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' || r == '\r' }) {
		word = strings.ToLower(word)
		number, isShare := strings.CutSuffix(word, "%")
		bound, isBound := strings.CutPrefix(word, "maxconn:")
		switch {
		case word == "ready":
			a.Mode = members.Ready
		case word == "drain":
			a.Mode = members.Draining
		case word == "maint":
			a.Mode = members.Down
		case word == "up":
			a.Health = members.Ready
		case word == "down" || word == "fail" || word == "failed" || word == "stopped":
			a.Health = members.Down
		case isShare:
			n, err := strconv.ParseUint(number, 10, 16)
			if err != nil {
				continue
			}
			share := float64(n) / 100
			a.Weight = &share
		case isBound:
			n, err := strconv.ParseUint(bound, 10, 31)
			if err != nil {
				continue
			}
			most := int(n)
			a.MaxInFlight = &most
		default:
			continue
		}
		known = true
	}
	if !known {
		return a, fmt.Errorf("an agent says %q, which has no word of agent-check", line)
	}
	if a.Mode == members.Draining || a.Mode == members.Down || a.Health == members.Down {
		a.Why = strings.ToValidUTF8(strings.TrimSpace(why), "\ufffd")
	}
	return a, nil
}
