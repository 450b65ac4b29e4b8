package tunnel

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
)

const (
	// version is that of the messages between two workers.
	version = 1
	// mostHand bounds the bytes in hand that move, of both directions.
	mostHand = 128 << 10
	// mostMessage bounds an offer.
	mostMessage = mostHand + 4<<10
)

// The short messages.
const (
	have = 'h' // the new worker has the offer
	goOn = 'g' // it is the new worker's
)

// offer is one tunnel, without its descriptors.
type offer struct {
	Version int     `json:"version"`
	Info    Info    `json:"info"`
	Over    [2]bool `json:"over"`
	Hand    [2]int  `json:"hand"` // bytes, which follow
	hand    [2][]byte
}

// encode writes an offer: the length of its head in 4 bytes, the head, the bytes in hand.
func (o offer) encode() ([]byte, error) {
	o.Version, o.Hand = version, [2]int{len(o.hand[0]), len(o.hand[1])}
	head, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	if n := 4 + len(head) + o.Hand[0] + o.Hand[1]; o.Hand[0]+o.Hand[1] > mostHand || n > mostMessage {
		return nil, fmt.Errorf("%d bytes are in hand: %w", o.Hand[0]+o.Hand[1], errStays)
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(len(head)))
	b = append(b, head...)
	b = append(b, o.hand[0]...)
	return append(b, o.hand[1]...), nil
}

var errMessage = errors.New("the message cannot be understood")

// decodeOffer reads what encode has written.
func decodeOffer(b []byte) (o offer, err error) {
	if len(b) < 4 {
		return offer{}, errMessage
	}
	n := int(binary.BigEndian.Uint32(b))
	if b = b[4:]; n > len(b) {
		return offer{}, errMessage
	}
	if err := json.Unmarshal(b[:n], &o); err != nil {
		return offer{}, fmt.Errorf("%w: %w", errMessage, err)
	}
	b = b[n:]
	if o.Version != version {
		return offer{}, fmt.Errorf("%w: it has version %d, and %d is expected", errMessage, o.Version, version)
	}
	if o.Hand[0] < 0 || o.Hand[1] < 0 || o.Hand[0] > len(b) || o.Hand[1] != len(b)-o.Hand[0] {
		return offer{}, errMessage
	}
	for i, n := range o.Hand {
		if n > 0 {
			o.hand[i] = append([]byte(nil), b[:n]...)
		}
		b = b[n:]
	}
	return o, nil
}
