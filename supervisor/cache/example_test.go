package cache_test

import (
	"context"
	"fmt"
	"time"

	"github.com/tinehq/tine/supervisor/cache"
)

func Example() {
	ctx, cancel := context.WithCancel(context.Background())
	results := make(chan cache.Result)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cache.RunJob(ctx, cache.Job{
			Key:    "greeting",
			Source: cache.Exec([]string{"echo", "hello"}, "", nil),
			Every:  time.Minute,
		}, func(r cache.Result) { results <- r })
	}()

	values := cache.NewValues(func() (files, limit int) { return 512, 4096 })
	defer values.Close()
	r := <-results
	if r.Err != nil {
		fmt.Println(r.Err)
	} else if change, changed, err := values.Set(time.Now(), r.Key, r.Payload, "echo"); err == nil && changed {
		bytes, _ := change.Payload.Bytes()
		fmt.Printf("%s is %q since epoch %d\n", change.Key, bytes, change.Epoch)
	}
	cancel()
	<-ended
	// Output: greeting is "hello" since epoch 1
}

func ExampleEncode() {
	for _, value := range []any{"text", 0, []string{"a", "b"}} {
		p, err := cache.Encode(value)
		if err != nil {
			fmt.Println(err)
			return
		}
		bytes, _ := p.Bytes()
		fmt.Println(string(bytes))
		p.Release()
	}
	// Output:
	// text
	// 0
	// ["a","b"]
}
