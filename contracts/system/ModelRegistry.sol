// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IModelStore, MODEL_STORE} from "../interfaces/IModelStore.sol";
import {PARAMS} from "./Params.sol";

/// @title ModelRegistry: who owns which model, under what licence, and its deposit.
/// @notice Predeployed at 0x5b11. Upload a model in chunks of up to 64 KiB, one transaction each, then register it with the list of
///         chunk ids: the node joins and verifies the bytes, and the model is active from then on. A deposit per byte is locked while
///         a chunk is stored; its uploader gets it back by dropping the chunk once no model uses it.
contract ModelRegistry {
    error NotOwner(bytes32 id);
    error UnknownModel(bytes32 id);
    error DepositTooSmall(uint256 sent, uint256 needed);
    error ActiveBytesExceeded(uint256 wanted, uint256 max);
    error StillActive(bytes32 id);
    error ChunkInUse(bytes32 chunk);
    error NotUploader(bytes32 chunk);
    error TextTooLong();
    error PaymentFailed();
    error ZeroAddress();

    event ChunkStored(bytes32 indexed chunk, address indexed uploader, uint256 size);
    event ChunkDropped(bytes32 indexed chunk);
    event ModelRegistered(bytes32 indexed id, address indexed owner, uint64 size, string name);
    event ModelActivated(bytes32 indexed id);
    event ModelDeactivated(bytes32 indexed id);
    event ModelRemoved(bytes32 indexed id);
    event OwnerChanged(bytes32 indexed id, address indexed owner);

    struct Entry {
        address owner;
        uint64 size; // bytes
        bool active;
        string name;
        string licence; // SPDX identifier, or a URL
        string uri; // where the model card is
    }

    struct Chunk {
        address uploader;
        uint256 deposit; // wei
    }

    // The node's samebit_listModels reads `ids` (slot 0) and `entries` (slot 1); docs/spec/precompiles.md section 4.
    bytes32[] internal ids;
    mapping(bytes32 => Entry) internal entries;
    mapping(bytes32 => uint256) internal indexOf; // place in ids, plus one
    mapping(bytes32 => Chunk) public chunks;
    /// @notice Bytes of all active models together.
    uint256 public activeBytes;

    /// @notice Store one chunk and lock its deposit; anything sent above it is paid back at once.
    function putChunk(bytes calldata data) external payable returns (bytes32 chunk) {
        uint256 needed = data.length * PARAMS.depositPerByte();
        if (msg.value < needed) revert DepositTooSmall(msg.value, needed);
        chunk = MODEL_STORE.putChunk(data);
        if (chunks[chunk].uploader == address(0)) {
            chunks[chunk] = Chunk(msg.sender, needed);
            emit ChunkStored(chunk, msg.sender, data.length);
            pay(msg.sender, msg.value - needed);
        } else {
            pay(msg.sender, msg.value); // stored already: nothing to lock
        }
    }

    /// @notice Delete a chunk that no model uses, and get its deposit back.
    function dropChunk(bytes32 chunk) external {
        Chunk memory c = chunks[chunk];
        if (c.uploader != msg.sender) revert NotUploader(chunk);
        (, uint64 references) = MODEL_STORE.chunkInfo(chunk);
        if (references != 0) revert ChunkInUse(chunk);
        delete chunks[chunk];
        MODEL_STORE.dropChunk(chunk);
        emit ChunkDropped(chunk);
        pay(msg.sender, c.deposit);
    }

    /// @notice Join chunks to a model, verify and activate it.
    /// @return id the model's id, by which contracts call it
    function register(bytes32[] calldata chunkIds, string calldata name, string calldata licence, string calldata uri)
        external
        returns (bytes32 id)
    {
        if (bytes(name).length > 128 || bytes(licence).length > 128 || bytes(uri).length > 256) revert TextTooLong();
        id = MODEL_STORE.finalise(chunkIds, uint64(PARAMS.modelBytesMax()), uint64(PARAMS.modelArenaBytesMax()));
        uint64 size = MODEL_STORE.model(id).size;
        entries[id] = Entry(msg.sender, size, false, name, licence, uri);
        ids.push(id);
        indexOf[id] = ids.length;
        emit ModelRegistered(id, msg.sender, size, name);
        setActive(id, true);
    }

    function activate(bytes32 id) external {
        onlyOwner(id);
        if (!entries[id].active) setActive(id, true);
    }

    function deactivate(bytes32 id) external {
        onlyOwner(id);
        if (entries[id].active) setActive(id, false);
    }

    /// @notice Remove an inactive model; its chunks may then be dropped by those who uploaded them.
    function remove(bytes32 id) external {
        onlyOwner(id);
        if (entries[id].active) revert StillActive(id);
        uint256 place = indexOf[id];
        bytes32 last = ids[ids.length - 1];
        ids[place - 1] = last;
        indexOf[last] = place;
        ids.pop();
        delete indexOf[id];
        delete entries[id];
        MODEL_STORE.release(id);
        emit ModelRemoved(id);
    }

    function transferOwnership(bytes32 id, address owner) external {
        onlyOwner(id);
        if (owner == address(0)) revert ZeroAddress();
        entries[id].owner = owner;
        emit OwnerChanged(id, owner);
    }

    function count() external view returns (uint256) {
        return ids.length;
    }

    /// @notice Ids from `offset` on, at most `limit`.
    function list(uint256 offset, uint256 limit) external view returns (bytes32[] memory page) {
        uint256 total = ids.length;
        if (offset >= total) return new bytes32[](0);
        uint256 n = total - offset < limit ? total - offset : limit;
        page = new bytes32[](n);
        for (uint256 i = 0; i < n; i++) page[i] = ids[offset + i];
    }

    function entry(bytes32 id) external view returns (Entry memory) {
        if (entries[id].owner == address(0)) revert UnknownModel(id);
        return entries[id];
    }

    function setActive(bytes32 id, bool active) private {
        uint256 size = entries[id].size;
        if (active) {
            uint256 wanted = activeBytes + size;
            uint256 max = PARAMS.modelActiveBytesMax();
            if (wanted > max) revert ActiveBytesExceeded(wanted, max);
            activeBytes = wanted;
            emit ModelActivated(id);
        } else {
            activeBytes -= size;
            emit ModelDeactivated(id);
        }
        entries[id].active = active;
        MODEL_STORE.setActive(id, active);
    }

    function onlyOwner(bytes32 id) private view {
        address owner = entries[id].owner;
        if (owner == address(0)) revert UnknownModel(id);
        if (owner != msg.sender) revert NotOwner(id);
    }

    function pay(address to, uint256 amount) private {
        if (amount == 0) return;
        (bool ok,) = to.call{value: amount}("");
        if (!ok) revert PaymentFailed();
    }
}

ModelRegistry constant MODEL_REGISTRY = ModelRegistry(0x0000000000000000000000000000000000005b11);
