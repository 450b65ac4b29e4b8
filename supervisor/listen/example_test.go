package listen_test

import (
	"fmt"

	"github.com/tinehq/tine/supervisor/listen"
)

func ExampleParse() {
	for _, text := range []string{":7000", "tcp4://127.0.0.1:7000", "unix:/run/web.sock?mode=0660", "7000"} {
		a, err := listen.Parse(text)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(a.Network, a.Addr)
	}
	// Output:
	// tcp :7000
	// tcp4 127.0.0.1:7000
	// unix /run/web.sock
	// bad address "7000": a port needs a colon before it: ":7000"; expected :PORT, HOST:PORT, [IPv6]:PORT, tcp4://..., tcp6://... or unix:/PATH
}

func ExampleOpen() {
	set, err := listen.Open([]listen.Address{{Network: "tcp", Addr: "127.0.0.1:0"}}, 2, listen.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer set.Close()

	// A third slot: it gets no connection before its worker is there.
	if err := set.OpenSlot(2); err != nil {
		fmt.Println(err)
	}
	if err := set.SteerTo([]int{0, 1, 2}); err != nil {
		fmt.Println(err)
	}
	// And away again: steer around it, let its queue run empty, close.
	if err := set.SteerTo([]int{0, 1}); err != nil {
		fmt.Println(err)
	}
	waiting, err := set.Queue(2)
	fmt.Println("waiting:", waiting, err)
	if err := set.CloseSlot(2); err != nil {
		fmt.Println(err)
	}
	fmt.Println("slots:", set.Slots())
	// Output:
	// waiting: 0 <nil>
	// slots: 2
}
