// A server that speaks the Tablestore protocol, for tests and trials. One process, one folder, loopback unless told.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"runtime/debug"
)

func main() {
	log.SetFlags(0)
	listen := flag.String("listen", "127.0.0.1:0", "address and port; port 0 takes any, a bare port is loopback")
	data := flag.String("data", "", "folder that outlives the process; without it nothing does")
	instance := flag.String("instance", "inst", "name of the instance")
	keyID := flag.String("key", "ak", "access key id")
	secret := flag.String("secret", "sk", "access key secret")
	sync := flag.Bool("sync", false, "wait for the disk before each answer to a change")
	bench := flag.Bool("bench", false, "check writes and drop them, serve ranges from memory")
	flag.Parse()
	if flag.NArg() > 0 {
		log.Fatalf("what is %q? see --help", flag.Arg(0))
	}
	world := newWorld(*instance)
	if *data != "" {
		journal, err := openJournal(*data, *sync, world.replay)
		if err != nil {
			log.Fatal(err)
		}
		world.journal = journal
	}
	door := newDoor(world, *keyID, *secret)
	if *bench {
		door.bench = newBench()
		// Memory for time.
		debug.SetGCPercent(400)
	}
	address := *listen
	if _, _, err := net.SplitHostPort(address); err != nil {
		address = "127.0.0.1:" + address
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprintf(os.Stdout, "ready http://%s\n", listener.Addr())
	server := &http.Server{Handler: door, ErrorLog: log.New(os.Stderr, "", 0)}
	log.Fatal(server.Serve(listener))
}
