// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {Blockhash} from "@openzeppelin/contracts/utils/Blockhash.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {ICheckpoints} from "../interfaces/ICheckpoints.sol";
import {IStaking, STAKING} from "../interfaces/IStaking.sol";
import {Checkpoint, CheckpointForm, CheckpointSet, CheckpointSigner} from "../proof/Checkpoint.sol";
import {PARAMS} from "./Params.sol";

/// @title Checkpoints: see ICheckpoints.
contract Checkpoints is ICheckpoints {
    uint256 private constant CANDIDATES_MAX = 256;

    mapping(address operator => address) public signerOf;
    mapping(address signer => address) public operatorOf;
    mapping(bytes32 digest => mapping(address signer => bool)) private _signed;

    function setSigner(address signer, bytes calldata proof) external {
        STAKING.validator(msg.sender); // refuses who is the operator of none
        address old = signerOf[msg.sender];
        require(operatorOf[signer] == address(0) || signer == old, SignerTaken(signer));
        if (signer != address(0)) {
            (address recovered, ECDSA.RecoverError error,) = ECDSA.tryRecover(signerDigest(msg.sender), proof);
            require(error == ECDSA.RecoverError.NoError && recovered == signer, BadProof());
        }
        delete operatorOf[old];
        signerOf[msg.sender] = signer;
        if (signer != address(0)) operatorOf[signer] = msg.sender;
        emit SignerChanged(msg.sender, signer);
    }

    function sign(uint64 height, bytes32 setHash, bytes calldata signature) external {
        bytes32 hash = digest(height, setHash);
        address signer = ECDSA.recover(hash, signature);
        require(operatorOf[signer] != address(0), UnknownSigner(signer));
        require(!_signed[hash][signer], AlreadySigned(signer));
        _signed[hash][signer] = true;
        emit Signed(height, hash, signer, setHash, signature);
    }

    function signers() public view returns (CheckpointSet memory set) {
        IStaking.Candidate[] memory list = STAKING.candidates(0, CANDIDATES_MAX);
        set.signers = new CheckpointSigner[](list.length);
        uint256 count;
        for (uint256 i = 0; i < list.length; i++) {
            if (!list[i].active) continue;
            set.totalPower += uint64(list[i].power);
            address signer = signerOf[list[i].operator];
            if (signer != address(0)) set.signers[count++] = CheckpointSigner(signer, uint64(list[i].power));
        }
        CheckpointSigner[] memory found = set.signers;
        assembly ("memory-safe") {
            mstore(found, count)
        }
    }

    function signersHash() external view returns (bytes32) {
        return CheckpointForm.hash(signers());
    }

    function interval() public view returns (uint256) {
        return PARAMS.checkpointInterval();
    }

    function signerDigest(address operator) public view returns (bytes32) {
        return MessageHashUtils.toEthSignedMessageHash(
            abi.encodePacked("samebit/checkpoint-signer", uint64(block.chainid), _genesisHash(), operator)
        );
    }

    function digest(uint64 height, bytes32 setHash) public view returns (bytes32) {
        bytes32 blockHash = Blockhash.blockHash(height);
        require(height != 0 && height % interval() == 0 && blockHash != 0, NoCheckpoint(height));
        return CheckpointForm.digest(block.chainid, Checkpoint(_genesisHash(), height, blockHash, setHash));
    }

    function _genesisHash() private view returns (bytes32 hash) {
        hash = STAKING.genesisHash();
        require(hash != 0, NotReady());
    }
}
