// The quickstart in Go, on the gRPC client that `pnpm generate --lang go` wrote from the contracts.
package main

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"os"
	"slices"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "mecha.dev/examples/polyglot/gen/mecha/state/v1"
)

func main() {
	log.SetFlags(0)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	state := connect()

	for _, key := range list(ctx, state, "go-") {
		must(state.Delete(ctx, &pb.DeleteRequest{Key: key}))
	}

	// Set and get. An absent key is no error.
	must(state.Set(ctx, &pb.SetRequest{Key: "go-1", Value: []byte("teapot"), ContentType: "text/plain"}))
	first := get(ctx, state, "go-1")
	expect(string(first.GetValue()), "teapot")
	expect(get(ctx, state, "go-99"), nil)
	proves("set and get")

	// Compare and set: who writes with an old etag is refused, reads again, and then succeeds.
	must(state.Set(ctx, &pb.SetRequest{Key: "go-1", Value: []byte("cup")}))
	_, err := state.Set(ctx, &pb.SetRequest{Key: "go-1", Value: []byte("spoon"), Precondition: etag(first)})
	expect(reason(err), "ETAG_MISMATCH")
	must(state.Set(ctx, &pb.SetRequest{Key: "go-1", Value: []byte("spoon"), Precondition: etag(get(ctx, state, "go-1"))}))
	proves("compare-and-set conflict and retry")

	// A transaction: all of it or nothing.
	write := &pb.Operation{Operation: &pb.Operation_Set{Set: &pb.SetOperation{Key: "go-2", Value: []byte("saucer")}}}
	absent := &pb.Precondition{Condition: &pb.Precondition_Absent{Absent: true}}
	check := &pb.Operation{Operation: &pb.Operation_Check{Check: &pb.CheckOperation{Key: "go-1", Precondition: absent}}}
	_, err = state.Transact(ctx, &pb.TransactRequest{Operations: []*pb.Operation{write, check}})
	expect(reason(err), "ALREADY_EXISTS")
	expect(get(ctx, state, "go-2"), nil)
	must(state.Transact(ctx, &pb.TransactRequest{Operations: []*pb.Operation{write}}))
	proves("a transaction: all or nothing")

	// List by prefix, in order.
	expect(strings.Join(list(ctx, state, "go-"), " "), "go-1 go-2")
	proves("list")

	// Watch: what is there, then `synced`, then changes. The item lives for 300 ms, and the watch tells when it is gone.
	must(state.Set(ctx, &pb.SetRequest{Key: "go-draft", Ttl: durationpb.New(300 * time.Millisecond)}))
	stream := must(state.Watch(ctx, &pb.WatchRequest{Target: &pb.WatchRequest_Key{Key: "go-draft"}}))
	var seen []string
	for !slices.Contains(seen, "expired") {
		change := must(stream.Recv())
		switch {
		case change.GetItem() != nil:
			seen = append(seen, "item")
		case change.GetSynced() != nil:
			seen = append(seen, "synced")
		case change.GetDeleted().GetExpired():
			seen = append(seen, "expired")
		default:
			log.Fatalf("unexpected: %v", change)
		}
	}
	expect(strings.Join(seen, " "), "item synced expired")
	expect(get(ctx, state, "go-draft"), nil)
	proves("watch, and items that expire")
}

// connect finds the runtime where `mecha run` says it is, and proves with the token which app this is.
func connect() pb.StateServiceClient {
	endpoint := strings.TrimPrefix(cmp.Or(os.Getenv("MECHA_ENDPOINT"), "http://127.0.0.1:3600"), "http://")
	options := []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	if token := os.Getenv("MECHA_API_TOKEN"); token != "" {
		withToken := func(ctx context.Context) context.Context {
			return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
		}
		options = append(options,
			grpc.WithUnaryInterceptor(func(ctx context.Context, method string, request, reply any, connection *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
				return invoke(withToken(ctx), method, request, reply, connection, options...)
			}),
			grpc.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, connection *grpc.ClientConn, method string, open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
				return open(withToken(ctx), desc, connection, method, options...)
			}))
	}
	return pb.NewStateServiceClient(must(grpc.NewClient(endpoint, options...)))
}

func get(ctx context.Context, state pb.StateServiceClient, key string) *pb.Item {
	return must(state.Get(ctx, &pb.GetRequest{Key: key})).GetItem()
}

func list(ctx context.Context, state pb.StateServiceClient, prefix string) (keys []string) {
	for _, item := range must(state.List(ctx, &pb.ListRequest{Prefix: prefix, KeysOnly: true})).GetItems() {
		keys = append(keys, item.GetKey())
	}
	return keys
}

func etag(item *pb.Item) *pb.Precondition {
	return &pb.Precondition{Condition: &pb.Precondition_Etag{Etag: item.GetEtag()}}
}

// reason tells why a call was refused.
func reason(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	log.Fatalf("should have been refused with a reason, but: %v", err)
	return ""
}

func expect[T comparable](actual, expected T) {
	if actual != expected {
		log.Fatalf("expected %v, not %v", expected, actual)
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func proves(what string) {
	fmt.Println("go: " + what)
}
