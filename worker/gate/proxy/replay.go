package proxy

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// replayHeader is the header of a member's answer by which it has the request sent on. It never reaches a client, and never a member.
const replayHeader = "Tine-Replay"

// mostReplays bounds how often one request is sent on by its members.
const mostReplays = 3

// Replay is what a member asks for with the header Tine-Replay of its answer, as in
//
//	Tine-Replay: type=chat; key=room1
//
// The request is sent on, as the client has sent it, and the rest of the answer is dropped. The member that has asked is not picked again.
type Replay struct {
	Type   string // of the members that may get the request; "": the same
	Key    string // what it is picked by; "": as before
	Member string // the ID of the member that it goes to, if it can; "": none
}

// ParseReplay reads the value of the header: type, key and member, each name=value, with a semicolon between them. A value may be in
// double quotes, which it must be to have a semicolon.
func ParseReplay(text string) (to Replay, err error) {
	for rest := strings.TrimSpace(text); rest != ""; {
		name, value, named := strings.Cut(rest, "=")
		if !named {
			return Replay{}, fmt.Errorf("cannot read %s: %.100q: name=value is expected in %.40q", replayHeader, text, rest)
		}
		value = strings.TrimSpace(value)
		if quoted, ok := strings.CutPrefix(value, `"`); ok {
			var closed bool
			if value, rest, closed = strings.Cut(quoted, `"`); !closed {
				return Replay{}, fmt.Errorf("cannot read %s: %.100q: a quote is not closed", replayHeader, text)
			}
			rest = strings.TrimSpace(rest)
			if rest != "" && !strings.HasPrefix(rest, ";") {
				return Replay{}, fmt.Errorf("cannot read %s: %.100q: a semicolon is expected before %.40q", replayHeader, text, rest)
			}
			rest = strings.TrimPrefix(rest, ";")
		} else {
			value, rest, _ = strings.Cut(value, ";")
			value = strings.TrimSpace(value)
		}
		rest = strings.TrimSpace(rest)
		switch strings.TrimSpace(name) {
		case "type":
			to.Type = value
		case "key":
			to.Key = value
		case "member":
			to.Member = value
		default:
			return Replay{}, fmt.Errorf("cannot read %s: %.100q: %.40q is not known; write type, key or member", replayHeader, text, strings.TrimSpace(name))
		}
	}
	if to == (Replay{}) {
		return Replay{}, fmt.Errorf("cannot read %s: it is empty; write it as type=chat; key=room1", replayHeader)
	}
	return to, nil
}

// replayed: a member has asked for the request to be sent on.
type replayed struct{ text string }

func (e *replayed) Error() string { return "it asks for " + replayHeader + ": " + e.text }

// wantsReplay returns the wish of an answer to be sent on, as an error; nil: it has none, or none is heard.
func (f *forwarding) wantsReplay(h http.Header) error {
	if f.proxy.options.Replay == nil {
		return nil
	}
	if all := h[replayHeader]; len(all) > 0 {
		return &replayed{all[0]}
	}
	return nil
}

// replay makes the choice anew for a request that a member wants to be sent on. An error is why it is not.
func (f *forwarding) replay(wish *replayed) error {
	if f.replays++; f.replays > mostReplays {
		return fmt.Errorf("%w, and the request was sent on %d times already", wish, mostReplays)
	}
	to, err := ParseReplay(wish.text)
	if err != nil {
		return err
	}
	if !f.body.rewind() {
		return fmt.Errorf("%w, and the body of the request has more than the %d bytes that are kept", wish, f.body.most)
	}
	c, ok := f.proxy.options.Replay(f.r, f.choice, to)
	if !ok || c.Picker == nil {
		return fmt.Errorf("%w, and no members of the type %q are known", wish, to.Type)
	}
	f.choice = c
	return nil
}

// leave stops sending to a member that wants no more, in a way that the rest of the body can still be read for the next one.
func (s *sending) leave(u *upstream) {
	_ = u.SetWriteDeadline(time.Unix(1, 0))
	s.wg.Wait()
}
