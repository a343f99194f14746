module tablestore-server

go 1.23

require (
	github.com/aliyun/aliyun-tablestore-go-sdk v1.8.0
	github.com/golang/protobuf v1.3.2
)
